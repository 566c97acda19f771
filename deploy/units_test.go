package deploy

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// settings reads KEY=VALUE lines, as units and environment files have them.
func settings(t *testing.T, path string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#FANOUT")), "=")
		if strings.HasPrefix(line, "#FANOUT") {
			name = "FANOUT" + name // an example that is commented out must be right, too
		}
		if ok && name[0] != '#' && !strings.Contains(name, " ") {
			all[name] = append(all[name], value)
		}
	}
	return all
}

func TestUnits(t *testing.T) {
	for _, name := range daemons {
		t.Run(name, func(t *testing.T) {
			unit := settings(t, "systemd/fanout-"+name+".service")
			env := map[string]string{}
			for variable, values := range settings(t, "systemd/"+name+".env") {
				env[variable] = values[0]
			}
			for _, e := range unit["Environment"] {
				variable, value, _ := strings.Cut(e, "=")
				env[variable] = value
			}
			command := strings.Fields(unit["ExecStart"][0])
			if command[0] != "/usr/local/bin/"+name || unit["EnvironmentFile"][0] != "/etc/fanout/"+name+".env" {
				t.Errorf("runs %s with %s", command[0], unit["EnvironmentFile"])
			}
			flags := programs[name].check(t, name, command[1:], env)
			if !reachable(flags) {
				t.Error("listens beyond loopback without --insecure, and so does not start")
			}
			if dir := flags["--data-dir"]; dir != "" && dir != "/var/lib/"+unit["StateDirectory"][0] {
				t.Errorf("data in %s, state directory %s", dir, unit["StateDirectory"])
			}
			if name == "origin" && (command[len(command)-1] != "$FILES" || env["FILES"] == "") {
				t.Errorf("serves %v", command)
			}
		})
	}
}

// systemd itself looks at the units, where it is installed.
func TestUnitsBySystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, name := range daemons {
		data, err := os.ReadFile("systemd/fanout-" + name + ".service")
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(t.TempDir(), "fanout-"+name+".service") // with a binary that is there
		text := strings.Replace(string(data), "/usr/local/bin/"+name, programs[name].path, 1)
		if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
		// The exposure is 0 to 10, here in tenths; what may use the network cannot have much less.
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", unit).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unrecognized option") {
			t.Errorf("systemd-analyze security: %v\n%s", err, out)
		}
	}
}

// object is a Kubernetes object, as far as the test looks.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		ServiceName string `yaml:"serviceName"`
		Selector    any
		Ports       []struct{ Port int }
		Template    struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
	}
}

type pod struct {
	EnableServiceLinks *bool `yaml:"enableServiceLinks"`
	SecurityContext    struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		RunAsUser    int  `yaml:"runAsUser"`
	} `yaml:"securityContext"`
	Containers []struct {
		Name, Image string
		Args        []string
		Env         []struct{ Name string }
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		Ready           probe `yaml:"readinessProbe"`
		Live            probe `yaml:"livenessProbe"`
		SecurityContext struct {
			ReadOnly   bool  `yaml:"readOnlyRootFilesystem"`
			Escalation *bool `yaml:"allowPrivilegeEscalation"`
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name string
			Path string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct{ Name string }
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

func TestKubernetes(t *testing.T) {
	f, err := os.Open("kubernetes/fanout.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds, objects := map[string]int{}, map[string]object{}
	for d := yaml.NewDecoder(f); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if o.APIVersion == "" || o.Metadata.Name == "" || o.Kind != "Namespace" && o.Metadata.Namespace != "fanout" {
			t.Errorf("object %+v", o)
		}
		kinds[o.Kind]++
		objects[o.Kind+"/"+o.Metadata.Name] = o
	}
	if kinds["DaemonSet"] != 1 || kinds["StatefulSet"] != 1 || kinds["Service"] != 1 || kinds["NetworkPolicy"] != 1 {
		t.Errorf("objects: %v", kinds)
	}
	checkPod(t, objects, objects["StatefulSet/fanout-tracker"], "tracker")
	checkPod(t, objects, objects["DaemonSet/fanout-peerd"], "peerd")
}

func checkPod(t *testing.T, objects map[string]object, o object, role string) {
	t.Helper()
	pod, volumes := o.Spec.Template.Spec, []string{}
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, v := range o.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Metadata.Name)
	}
	image, c := stages(t)[role], pod.Containers[0]
	if !pod.SecurityContext.RunAsNonRoot || !strings.HasPrefix(image.user, number(pod.SecurityContext.RunAsUser)+":") ||
		!c.SecurityContext.ReadOnly || c.SecurityContext.Escalation == nil || *c.SecurityContext.Escalation {
		t.Errorf("%s: %+v, %+v, image runs as %s", role, pod.SecurityContext, c.SecurityContext, image.user)
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Errorf("%s: variables of services begin with FANOUT_, too", role)
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = "set"
	}
	flags := programs[role].check(t, role, c.Args, env)
	if !reachable(flags) {
		t.Errorf("%s: listens beyond loopback without --insecure, and so does not start", role)
	}
	if !strings.HasSuffix(regexp.MustCompile(`:[^/]*$`).ReplaceAllString(c.Image, ""), "/fanout-"+role) {
		t.Errorf("%s: image %s", role, c.Image)
	}
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = number(p.ContainerPort)
		if number(p.ContainerPort) != port(flags["--listen"]) && number(p.ContainerPort) != port(flags["--http"]) {
			t.Errorf("%s: port %d, flags %v", role, p.ContainerPort, flags)
		}
	}
	for path, probe := range map[string]probe{"/readyz": c.Ready, "/livez": c.Live} {
		if get := probe.HTTPGet; get.Path != path || ports[get.Port] == "" {
			t.Errorf("%s: probe %+v, ports %v", role, probe, ports)
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(volumes, m.Name) || m.Path != flags["--data-dir"] {
			t.Errorf("%s: mounts %s at %s, data in %s", role, m.Name, m.Path, flags["--data-dir"])
		}
	}
	if url := flags["--tracker"]; url != "" {
		host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
		if s, ok := objects["Service/"+host]; !ok || port(url) != number(s.Spec.Ports[0].Port) {
			t.Errorf("%s: the tracker is at %s, which is no service", role, url)
		}
	}
}
