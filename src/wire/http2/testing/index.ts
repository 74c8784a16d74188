// Random sessions of HTTP/2 for tests.
export { fuzzSession, type FuzzOptions, type FuzzResult } from "./session-fuzz.ts";
