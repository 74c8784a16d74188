import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { Step } from "../../decide/index.ts";
import type { MeshWorld } from "./mesh-world.ts";

/**
 * Checks before the first write that the old revision exists, and so does the new one. If the upgrade installs the new
 * one, nobody else may have installed it.
 */
export function preflightSteps({ spec }: MeshUpgrade, { installs }: MeshWorld): Step[] {
  const { from, to } = spec;
  return [
    {
      id: "preflight",
      title: `revision ${from.revision} exists, and ${installs.length === 0 ? `so does ${to.revision}` : `nobody else has installed ${to.revision}`}`,
      writes: [],
      settle: [
        { type: "revisionServes", revision: from.revision },
        installs.length === 0
          ? { type: "revisionServes", revision: to.revision }
          : { type: "revisionFree", revision: to.revision },
      ],
      checks: [],
      phase: "Preflight",
    },
  ];
}
