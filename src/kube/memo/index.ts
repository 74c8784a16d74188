/** This door is separate from the others, because only control planes load it. */
export { Memos, type MemoStats } from "./memo.ts";
