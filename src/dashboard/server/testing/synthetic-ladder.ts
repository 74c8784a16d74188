import type { LadderView } from "../../../api/dashboard/index.ts";
import type { SyntheticMesh } from "./synthetic-mesh.ts";
import type { Head } from "./synthetic-view.ts";

export function syntheticLadder(mesh: SyntheticMesh, head: Head): LadderView {
  const revision = (name: string, version: string, tags: readonly string[], proxies: number) => ({
    name,
    version,
    tags,
    podsReady: 2,
    pods: 2,
    root: "3f9a0c27be11",
    proxies,
  });
  const rungs = mesh.namespaces.map((name, index) => {
    const share = index % 3 === 0 ? 1 : index % 3 === 1 ? 0.5 : 0;
    return [
      `namespace/${name}`,
      {
        kind: "namespace" as const,
        namespace: "",
        name,
        at: { "1-31-0": 1 - share, "1-31-1": share },
        pods: { "1-31-0": Math.round(20 * (1 - share)), "1-31-1": Math.round(20 * share) },
        wanted: "1-31-1",
        goingTo: share === 1 ? "" : "1-31-1",
        blockedBy: index % 3 === 1 ? [`pod cart-v1-5d9c of ${name} is not ready`] : [],
        waitsFor: [],
      },
    ] as const;
  });
  const proxies = [...mesh.nodes.values()]
    .filter(({ dataPlane }) => dataPlane === "sidecar")
    .map((node, index) => {
      const state =
        index % 11 === 3 ? ("stale" as const) : index % 13 === 5 ? ("rejected" as const) : ("synced" as const);
      const reason =
        state === "rejected"
          ? "Listener: error adding listener '0.0.0.0_8080': filter chain without a match"
          : state === "stale"
            ? "routes were sent 14 s ago"
            : "";
      return [
        `${node.namespace}/${node.name}-7d4b9`,
        {
          pod: `${node.name}-7d4b9`,
          namespace: node.namespace,
          type: "sidecar" as const,
          revision: node.revision,
          version: "1.31.0",
          node: `worker-${index % 4}`,
          state,
          reason,
          connectedAtMs: 1_700_000_000_000,
        },
      ] as const;
    });
  return {
    head: { ...head, upgrade: "to-1-31-1" },
    tables: {
      revisions: {
        "1-31-0": revision("1-31-0", "1.31.0", ["default"], 120),
        "1-31-1": revision("1-31-1", "1.31.1", ["canary"], 34),
      },
      rungs: Object.fromEntries(rungs),
      proxies: Object.fromEntries(proxies),
    },
  };
}
