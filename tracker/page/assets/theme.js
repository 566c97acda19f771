// The theme is set before the page is drawn, so that nothing flashes. "auto" follows the
// system; the choice is kept in this browser.
(() => {
  const names = ['auto', 'light', 'dark'];
  const read = () => { try { return localStorage.getItem('fanout-theme'); } catch { return null; } };
  let theme = names.includes(read()) ? read() : 'auto';
  const apply = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById('theme');
    if (button) button.textContent = 'Theme: ' + theme;
    document.dispatchEvent(new Event('theme'));
  };
  apply();
  addEventListener('DOMContentLoaded', () => {
    apply();
    document.getElementById('theme').addEventListener('click', () => {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      try { localStorage.setItem('fanout-theme', theme); } catch { /* for this page only */ }
      apply();
    });
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply);
})();
