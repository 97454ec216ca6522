import { render } from "preact";
import { App, AppProvider, useApp } from "./state/app";
import { ChatView } from "./view/ChatView";
import { Login } from "./view/Login";

function Page() {
  switch (useApp().access.value) {
    case "unknown":
      return null;
    case "out":
      return <Login />;
    case "in":
      return <ChatView />;
  }
}

const app = new App();
render(
  <AppProvider value={app}>
    <Page />
  </AppProvider>,
  document.querySelector("#app")!,
);
void app.start();
