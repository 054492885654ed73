// Names for what the theme leaves without one, so that screen readers tell the parts of a page apart.
const label = () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search in these pages");
  document.querySelectorAll("nav.md-code__nav").forEach((nav, k) => nav.setAttribute("aria-label", `Code block ${k + 1}`));
  // What scrolls sideways can be scrolled with keys.
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach(table => table.setAttribute("tabindex", "0"));
  document.querySelectorAll("nav.md-nav[aria-labelledby]").forEach(nav => {
    const title = nav.parentElement.querySelector("a, label").textContent.trim();
    nav.removeAttribute("aria-labelledby");
    nav.setAttribute("aria-label", `Pages of ${title}`);
  });
};
label();
new MutationObserver(label).observe(document.body, { childList: true, subtree: true });
