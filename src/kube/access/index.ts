// Asks the API server which rights the caller has.
export { askSelfAccess } from "./self-access-review.ts";
