interface ProcessHelp {
  readonly does: string;
  /** The page of its settings, in the folder `docs/contracts`. */
  readonly page: string;
}

const processes: Readonly<Record<string, ProcessHelp>> = {
  cni: { does: "The agent of a node, which adds pods to the ambient mesh.", page: "cni.md" },
  ztunnel: { does: "The L4 proxy of a node, for pods of the ambient mesh.", page: "data-planes.md" },
  proxy: { does: "The L7 proxy: sidecar, gateway or waypoint.", page: "data-planes.md" },
  pilot: { does: "The control plane.", page: "pilot.md" },
  rollout: { does: "The rollout engine.", page: "rollout.md" },
  probe: { does: "The client and server that a mesh upgrade measures with.", page: "rollout.md" },
  kiali: { does: "The dashboard's server.", page: "addons.md" },
  grafana: { does: "The server of the lab's graphs.", page: "addons.md" },
  prometheus: { does: "The server of the lab's metrics.", page: "addons.md" },
  "prometheus-reloader": { does: "Reloads the metrics server when its settings change.", page: "addons.md" },
  "cluster-apiserver": { does: "The API server of a lab.", page: "lab.md" },
  "cluster-controllers": { does: "The controllers of a lab.", page: "lab.md" },
  "cluster-launcher": { does: "Makes the namespaces of a lab.", page: "lab.md" },
  "cluster-supervisor": { does: "Starts the processes of a lab, and restarts them.", page: "lab.md" },
  "cluster-node": { does: "A node of a lab, which runs pods.", page: "lab.md" },
};

/** The help of a process that installations and labs start. Undefined if the words do not ask for it. */
export function processHelp(name: string, args: readonly string[]): string | undefined {
  const help = processes[name];
  if (help === undefined || args.length !== 1 || !["--help", "-h", "help"].includes(args[0] ?? "")) return undefined;
  return `serin ${name}: ${help.does}\n\nInstallations and labs start this process. Its arguments, variables and ports: docs/contracts/${help.page}\n`;
}
