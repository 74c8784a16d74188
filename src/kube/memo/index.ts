/** Apart from the other doors, because only control planes load it. */
export { Memos, type MemoStats } from "./memo.ts";
