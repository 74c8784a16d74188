/**
 * The label on pods and namespaces that selects their ztunnel by its revision. On nodes, the label is `istio.io/rev`.
 */
export const ztunnelRevisionLabel = "serin.dev/ztunnel-rev";
/** On a pod: the ztunnel that serves it. The CNI agent writes this annotation. */
export const ztunnelOwnerAnnotation = "serin.dev/ztunnel-owner";
/** The name of the ztunnel without a revision. */
const defaultZtunnelRevision = "default";

const nodeRevisionLabel = "istio.io/rev";

type Labels = Readonly<Record<string, string>> | undefined;

export interface ZtunnelOwnerQuery {
  readonly podLabels: Labels;
  readonly namespaceLabels: Labels;
  readonly nodeLabels: Labels;
  /** The revisions of the ztunnels on the pod's node. */
  readonly running: readonly string[];
}

/**
 * The revision of the ztunnel that should serve a pod. A label of the pod or namespace decides even if no such ztunnel
 * runs on the node. A label of the node decides only if one does. If no label decides, it is the ztunnel without a
 * revision, or else the only one on the node. Undefined if there is neither: the pod then stays with its current
 * ztunnel.
 */
export function ztunnelOwner(query: ZtunnelOwnerQuery): string | undefined {
  const labelled = revisionLabel(query.podLabels) ?? revisionLabel(query.namespaceLabels);
  if (labelled !== undefined) return labelled;
  const running = new Set(query.running);
  const ofNode = query.nodeLabels?.[nodeRevisionLabel];
  if (ofNode !== undefined && running.has(ofNode)) return ofNode;
  if (running.has(defaultZtunnelRevision)) return defaultZtunnelRevision;
  const [only] = running;
  return running.size === 1 ? only : undefined;
}

function revisionLabel(labels: Labels): string | undefined {
  const value = labels?.[ztunnelRevisionLabel];
  return value === undefined || value === "" ? undefined : value;
}
