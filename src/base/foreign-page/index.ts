export { foreignPage, nameOf, usesForeignName } from "./foreign-page.ts";
