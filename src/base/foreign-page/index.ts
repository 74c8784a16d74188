// Recognizes requests to a server on the loopback that a browser sends for another web page.
export { foreignPage, nameOf, usesForeignName } from "./foreign-page.ts";
