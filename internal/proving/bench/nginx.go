package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// config is nginx as it is tuned for large files, with nothing outside the directory.
const config = `
daemon off;
master_process off;
error_log %[1]s/nginx-error.log;
pid %[1]s/nginx.pid;
events {}
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	client_body_temp_path %[1]s/nginx-temp;
	proxy_temp_path %[1]s/nginx-temp;
	fastcgi_temp_path %[1]s/nginx-temp;
	uwsgi_temp_path %[1]s/nginx-temp;
	scgi_temp_path %[1]s/nginx-temp;
	server {
		listen %[2]s;
		root %[1]s;
	}
}
`

// nginx is a private one that serves a directory.
type nginx struct {
	cmd     *exec.Cmd
	address string
	dir     string
}

func startNginx(ctx context.Context, dir string) (*nginx, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, fmt.Errorf("%w: run scripts/setup.sh bench", err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &nginx{address: ln.Addr().String(), dir: dir}
	ln.Close()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, config, dir, n.address), 0o644); err != nil {
		return nil, err
	}
	n.cmd = exec.CommandContext(ctx, binary, "-c", conf, "-e", filepath.Join(dir, "nginx-error.log"))
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	return n, n.await()
}

func (n *nginx) await() error {
	var err error
	for range 100 {
		var c net.Conn
		if c, err = net.Dial("tcp", n.address); err == nil {
			return c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.stop()
	log, _ := os.ReadFile(filepath.Join(n.dir, "nginx-error.log"))
	return fmt.Errorf("nginx does not answer: %w\n%s", err, log)
}

func (n *nginx) stop() {
	n.cmd.Process.Kill()
	n.cmd.Wait() // it was killed
}

func (n *nginx) curl(ctx context.Context, name, path string) (time.Duration, error) {
	curl := exec.CommandContext(ctx, "curl", "-sSf", "-o", path, "http://"+n.address+"/"+name)
	began := time.Now()
	if out, err := curl.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("curl: %w: %s", err, out)
	}
	return time.Since(began), nil
}
