import { Memos } from "../../kube/memo/index.ts";

/**
 * Caches results of the control plane's pure functions. The graph of the derived collections reports the sizes of the
 * caches.
 */
export const memos = new Memos();
