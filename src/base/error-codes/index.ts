// The codes of all errors, with the remedy of each.
export { errorAreas, remedyOf, type ErrorCode } from "./error-codes.ts";
export type { ErrorEntry } from "./error-entry.ts";
