import type { JSX } from "preact";
import type { RolloutRow } from "../../../api/dashboard/index.ts";
import { Tag } from "../components/index.ts";

const texts: Partial<Record<NonNullable<RolloutRow["pauseReason"]>, string>> = {
  approval: "needs an approval",
  order: "paused by an order",
  restored: "copy of another object: check its target",
  author: "needs an author with rights",
  spec: "spec needs a correction",
  samples: "needs requests",
};

/** Shows that a rollout waits for a person, and for what, if the engine says so. */
export function PersonTag({ row }: { readonly row: RolloutRow }): JSX.Element {
  return (
    <Tag tone="warn" wrapped>
      {texts[row.pauseReason ?? "check"] ?? "needs a person"}
    </Tag>
  );
}
