// Browsers start no worker for a page that is opened from a disk, and the search runs in one. There its script runs in a
// hidden frame instead, which speaks as a worker does. (mkdocs-material would load such a script from elsewhere.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inner.importScripts = () => { throw new Error("Search from a disk knows English only."); };
      const script = this.inner.document.createElement("script");
      script.src = url;
      this.loaded = new Promise(done => { script.onload = done; });
      script.onerror = () => this.dispatchEvent(new ErrorEvent("error", { message: `${url} cannot be read` }));
      this.inner.document.body.append(script);
      this.frame = frame;
    }
    postMessage(data) {
      this.loaded.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
