import { compare } from "./compare.ts";

/**
 * The parts of a name such as `outbound|9080|v1|reviews.default.svc.cluster.local`. Any other name is `host` as a
 * whole.
 */
export interface ClusterName {
  readonly direction: string;
  readonly port: number;
  readonly subset: string;
  readonly host: string;
  /** False for a name of another form, such as `PassthroughCluster`. */
  readonly isService: boolean;
}

export function parseClusterName(name: string): ClusterName {
  const parts = name.split("|");
  if (parts.length < 4) return { direction: "", port: 0, subset: "", host: name, isService: false };
  const [direction = "", port = "", subset = "", ...host] = parts;
  return { direction, port: Number(port), subset, host: host.join("|"), isService: true };
}

/** Orders names by host, then by subset, port and direction. */
export function compareClusterNames(a = "", b = ""): number {
  const left = parseClusterName(a);
  const right = parseClusterName(b);
  return (
    compare(left.host, right.host) ||
    compare(left.subset, right.subset) ||
    left.port - right.port ||
    compare(left.direction, right.direction)
  );
}
