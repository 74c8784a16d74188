// Asks the API server for the rights of the caller.
export { askSelfAccess } from "./self-access-review.ts";
