import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collect: ((options: { readonly type: "major" | "minor" }) => void) | undefined;

/**
 * Collects garbage: all of it, or only young objects (`minor`), as V8 does by itself when the space for new objects is
 * full.
 */
export function collectGarbage(kind: "all" | "minor"): void {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    // Create the function only once, because each context takes old memory itself.
    collect = runInNewContext("gc") as typeof collect;
  }
  collect?.({ type: kind === "all" ? "major" : kind });
}

/**
 * The bytes of objects that have outlived minor collections. Those that are garbage count until a collection of all
 * garbage.
 */
export function oldBytes(): number {
  const old = getHeapSpaceStatistics().find((space) => space.space_name === "old_space");
  if (old === undefined) throw new Error("this V8 has no old space");
  return old.space_used_size;
}
