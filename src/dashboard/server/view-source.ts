import type { Problem, TopicName, Topics, View } from "../../api/dashboard/index.ts";

/** What may be asked of the API server's authorization, in its words: `{verb: "get", group: "networking.istio.io", resource: "virtualservices", …}`. */
export interface AccessRight {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Empty for what has none, and for all of them. */
  readonly namespace: string;
  readonly name?: string;
}

/**
 * Whose eyes a view is made for. Who has the same key may be shown the same bytes: keys of the topics `rollout` and `config`, whose
 * views tell what this user may do, are a session's own; those of other topics are shared by all who may read the same namespaces and kinds.
 */
export interface ViewReader {
  readonly key: string;
  /** Namespaces that may be read; what happens in others is left out, or shown as `unknown` where it is the other end of traffic. */
  readonly namespaces: ReadonlySet<string> | "*";
  /** Kinds of the whole cluster that the user may not list (`MeshUpgrade`, `Freeze`): nothing of them is shown. */
  readonly hiddenKinds: ReadonlySet<string>;
  /** Whether the user may; answered from a cache of some seconds. False where the API server cannot be asked. */
  may(right: AccessRight): Promise<boolean>;
}

export interface ViewSink {
  /** The whole view, as often as it changes and at most once a second; a view that is the same but for `head.atMs` need not be told. */
  view(view: View): void;
  /** It cannot be shown now; a view follows when it can again. */
  problem(problem: Problem): void;
}

/** Makes views; the live stream sends them. */
export interface ViewSource {
  /** Tells of the topic until the signal is aborted. Never throws: what is wrong is told to the sink. */
  follow<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    reader: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void>;
}
