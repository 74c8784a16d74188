// Asks the API server which rights the caller itself has.
export { askSelfAccess } from "./self-access-review.ts";
