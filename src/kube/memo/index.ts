/**
 * Memos of the functions that compute collections. This door is separate from that of `kube`, because only control
 * planes load it.
 */
export { Memos, type MemoStats } from "./memo.ts";
