// Recognizes requests that a browser sends for another web page to a server on the loopback.
export { foreignPage, nameOf, usesForeignName } from "./foreign-page.ts";
