import type { DefaultRevision, RenderedComponent } from "./render.ts";
import type { InstallSettings } from "./settings.ts";

/** Rendered components that are to be applied to a cluster, and whom to tell how it goes. */
export interface InstallRequest {
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
  /** Written if no revision is the default yet. */
  readonly defaultRevision?: DefaultRevision;
  /** Moves gateways of other revisions to this one in place, as upstream did. */
  readonly upgradeGateways: boolean;
  /** Replaces the rollout engine and the definitions of kinds by older ones. They stay if this is absent. */
  readonly replaceNewer?: boolean;
  /** Identifies this installer to concurrent ones. */
  readonly identity: string;
  /** Called when a component is installed and ready. */
  readonly onDone: (component: RenderedComponent) => void;
  /** Called for objects that are left unchanged, and for waits. */
  readonly onNote: (note: string) => void;
  /** Called with what is missing if something takes longer than a second to become ready. */
  readonly onWait?: (text: string) => void;
  /** The time for one component to become ready, and for another installer to end. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}
