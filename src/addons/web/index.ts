// HTML, flags and the HTTP server of the addons' pages.
export { listenAddress, readFlags } from "./flags.ts";
export { createQueryPrometheus, type MeasuredSample, type QueryPrometheus } from "./prometheus-client.ts";
export { Html, html } from "./html.ts";
export { page, table } from "./page.ts";
export {
  htmlAnswer,
  jsonAnswer,
  redirectTo,
  serveWeb,
  textAnswer,
  type WebAnswer,
  type WebHandler,
  type WebRequest,
} from "./serve-web.ts";
