import type { Problem, TopicName, Topics, View } from "../../api/dashboard/index.ts";

/**
 * A permission that a user may have, in the terms of the API server's authorization: `{verb: "get", group:
 * "networking.istio.io", resource: "virtualservices", …}`.
 */
export interface AccessRight {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Empty for cluster-scoped objects, and for all namespaces. */
  readonly namespace: string;
  readonly name?: string;
}

/**
 * The reader of a view. Readers with the same key may get the same bytes. Views of the topics `rollout` and `config`
 * show what this user may do, so their keys belong to one session. For other topics, all readers of the same namespaces
 * and kinds have the same key.
 */
export interface ViewReader {
  readonly key: string;
  /** The readable namespaces. Others are left out, or shown as `unknown` at the other end of traffic. */
  readonly namespaces: ReadonlySet<string> | "*";
  /** Cluster-scoped kinds that the user may not list (`MeshUpgrade`, `Freeze`). Their objects are not shown. */
  readonly hiddenKinds: ReadonlySet<string>;
  /** Whether the user has the right, cached for some seconds. False if the API server does not answer. */
  may(right: AccessRight): Promise<boolean>;
}

export interface ViewSink {
  /**
   * Receives the whole view whenever it changes, at most once a second. A view that differs only in `head.atMs` need
   * not be sent.
   */
  view(view: View): void;
  /** Called if the view cannot be shown now. The view follows when it can be shown again. */
  problem(problem: Problem): void;
}

/** Makes the views that the live stream sends. */
export interface ViewSource {
  /** Reports the topic until the signal is aborted. Never throws: problems go to the sink. */
  follow<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    reader: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void>;
}
