/** Memos of the functions that compute collections. Only control planes need them, so they have a door of their own. */
export { Memos, type MemoStats } from "./memo.ts";
