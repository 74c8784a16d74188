import type { Problem, TopicName, Topics, View } from "../../api/dashboard/index.ts";

/** Whose eyes a view is made for. Who has the same key may be shown the same bytes. */
export interface ViewReader {
  readonly key: string;
  /** Namespaces that may be read; what happens in others is left out, or shown as `unknown` where it is the other end of traffic. */
  readonly namespaces: ReadonlySet<string> | "*";
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
  follow<Name extends TopicName>(name: Name, parameters: Topics[Name]["parameters"], reader: ViewReader, sink: ViewSink, signal: AbortSignal): Promise<void>;
}
