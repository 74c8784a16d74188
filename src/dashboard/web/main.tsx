import { render } from "preact";
import { App } from "./app.tsx";
import { startLive } from "./live/index.ts";
import "./style/page.css";
import { startTheme } from "./theme.ts";

startTheme();
startLive();
const root = document.getElementById("page");
if (root !== null) render(<App />, root);
