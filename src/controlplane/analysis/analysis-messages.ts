import type { UntypedObject } from "../../api/index.ts";
import type { AnalysisOptions } from "../../analyze/index.ts";

/** `AnalysisMessageBase` of Istio's API, in JSON. */
export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: "ERROR" | "WARNING" | "INFO";
  readonly documentationUrl: string;
}

/** A new or changed object. Without `object`, it was deleted or is no longer analysed. */
export interface ObjectChange {
  readonly id: string;
  readonly object?: UntypedObject;
}

/** A part of the changes since the last analysis. The last part has the options, and starts the analysis. */
export interface AnalysisTask {
  /**
   * A list of {@link ObjectChange} as JSON. Copying objects between threads takes ten times as long as copying their
   * JSON.
   */
  readonly changes: string;
  readonly options?: AnalysisOptions;
}

/** The messages of each object that has any, by {@link ObjectChange.id}. */
export type Findings = ReadonlyMap<string, readonly ValidationMessage[]>;

export type AnalysisAnswer =
  | { readonly kind: "taken" }
  | { readonly kind: "found"; readonly findings: Findings }
  | { readonly kind: "fault"; readonly message: string };
