import type { DefaultRevision, RenderedComponent } from "./render.ts";
import type { InstallSettings } from "./settings.ts";

/** Rendered components to apply to a cluster, and the functions that report the progress. */
export interface InstallRequest {
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
  /**
   * The objects that make this revision the default. They are written only if no other installed revision is the
   * default.
   */
  readonly defaultRevision?: DefaultRevision;
  /** Moves gateways of other revisions to this one in place, as former releases of istioctl did. */
  readonly upgradeGateways: boolean;
  /** Whether to replace the rollout engine and CRDs even if they are newer than this release. */
  readonly replaceNewer?: boolean;
  /** Identifies this installer to concurrent ones. */
  readonly identity: string;
  /** Called when a component has been installed and is ready. */
  readonly onDone: (component: RenderedComponent) => void;
  /** Called for a gateway component that stays with another revision and is not installed. */
  readonly onKept?: (component: RenderedComponent) => void;
  /** Called with a message about objects that are left unchanged, or about a wait. */
  readonly onNote: (note: string) => void;
  /**
   * Called with an object and what it lacks if it takes longer than a second to become ready, and with `missing`
   * undefined once it is ready. If `object` is empty, `missing` names the current phase of the installation.
   */
  readonly onWait?: (object: string, missing: string | undefined) => void;
  /** The maximum time for one object to become ready, and for another installer to end. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}
