import type { Problem, TopicName, Topics, View } from "../../api/dashboard/index.ts";

/**
 * A right in the terms of the API server's authorization: `{verb: "get", group: "networking.istio.io", resource:
 * "virtualservices", …}`.
 */
export interface AccessRight {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Empty for cluster-scoped objects, and for the right in all namespaces. */
  readonly namespace: string;
  readonly name?: string;
}

/**
 * Whoever reads a view. Readers with the same key may get the same bytes. Views of the topics `rollout` and `config`
 * show what the user may do, so for these the key belongs to one session. For other topics, readers of the same
 * namespaces and kinds have the same key.
 */
export interface ViewReader {
  readonly key: string;
  /**
   * The namespaces that the reader may read. Others are left out, or shown as `unknown` where traffic leads to them.
   */
  readonly namespaces: ReadonlySet<string> | "*";
  /** The cluster-scoped kinds that the user may not list (`MeshUpgrade`, `Freeze`). Their objects are not shown. */
  readonly hiddenKinds: ReadonlySet<string>;
  /** Whether the user has the right. The answer may be some seconds old. False if the API server does not answer. */
  may(right: AccessRight): Promise<boolean>;
}

export interface ViewSink {
  /**
   * Receives the whole view whenever it has changed, at most once a second. A change of `head.atMs` alone does not
   * count.
   */
  view(view: View): void;
  /** Receives the reason why the view cannot be shown now. A view follows when it can be shown again. */
  problem(problem: Problem): void;
}

export interface ViewSource {
  /** Reports the topic's view until the signal is aborted. Never throws: problems go to the sink. */
  follow<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    reader: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void>;
}
