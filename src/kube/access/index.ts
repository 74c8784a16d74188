export { askSelfAccess, type SelfAccess } from "./self-access-review.ts";
