export { fuzzSession, type FuzzOptions, type FuzzResult } from "./session-fuzz.ts";
