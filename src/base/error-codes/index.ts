export { errorAreas, remedyOf, type ErrorCode } from "./error-codes.ts";
export type { ErrorEntry } from "./error-entry.ts";
