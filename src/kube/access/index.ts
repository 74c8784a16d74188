// Asks the API server for the rights of the caller.
export { askSelfAccess, type SelfAccess } from "./self-access-review.ts";
