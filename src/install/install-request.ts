import type { DefaultRevision, RenderedComponent } from "./render.ts";
import type { InstallSettings } from "./settings.ts";

/** Rendered components to apply to a cluster, and the functions that report the progress. */
export interface InstallRequest {
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
  /** The objects that make this revision the default. They are written only if no revision is the default yet. */
  readonly defaultRevision?: DefaultRevision;
  /** Moves gateways of other revisions to this one in place, as former releases of istioctl did. */
  readonly upgradeGateways: boolean;
  /** Whether to replace the rollout engine and CRDs by older ones. Absent means that the newer ones stay. */
  readonly replaceNewer?: boolean;
  /** Identifies this installer to concurrent ones. */
  readonly identity: string;
  /** Called when a component is installed and ready. */
  readonly onDone: (component: RenderedComponent) => void;
  /** Called for a component that stays with another revision, and is not installed. */
  readonly onKept?: (component: RenderedComponent) => void;
  /** Called for objects that are left unchanged, and for waits. */
  readonly onNote: (note: string) => void;
  /**
   * Called if an object takes longer than a second to become ready, with the missing part, and with undefined once the
   * object is ready. If `object` is empty, `missing` says what the installation does at the moment.
   */
  readonly onWait?: (object: string, missing: string | undefined) => void;
  /** The time for one component to become ready, and for another installer to end. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}
