import type { MeshConfig } from "../api/istio/index.ts";
import type { ControlPlaneSettings } from "../api/pilot-settings/index.ts";
import type { MeshIngest } from "./ingest/index.ts";
import type { LeadingControllerOptions } from "./leadership/index.ts";

export interface OptionalControllersOptions {
  /** The options of a leading controller. `scope` is the scope of its log lines. */
  readonly leading: (scope: string) => LeadingControllerOptions;
  readonly settings: Pick<ControlPlaneSettings, "nodeTaint" | "analysis">;
  readonly ingest: MeshIngest;
  readonly meshConfig: () => MeshConfig | undefined;
  readonly onMeshChange: (changed: () => void) => Disposable;
}

/** Runs the controllers that are off by default. The code of each is loaded only if it is on. */
export async function runOptionalControllers(
  { leading, settings, ingest, meshConfig, onMeshChange }: OptionalControllersOptions,
  signal: AbortSignal,
): Promise<void> {
  const { nodeTaint, analysis } = settings;
  const running: Promise<void>[] = [];
  if (nodeTaint !== undefined) {
    const { runNodeTaintController } = await import("./node-taint-controller.ts");
    const options = { ...leading("node-taints"), settings: nodeTaint };
    running.push(runNodeTaintController({ ...options, objectsOf: (kind) => ingest.informer(kind) }, signal));
  }
  if (analysis !== undefined) {
    const { runAnalysisController } = await import("./analysis/index.ts");
    running.push(
      runAnalysisController(
        {
          ...leading("analysis"),
          objectsOf: (kind) => ingest.informerOf(kind),
          includes: (name) => ingest.includesNamespace(name),
          meshConfig,
          onMeshChange,
          maxDelayMs: analysis.maxDelayMs,
        },
        signal,
      ),
    );
  }
  await Promise.all(running);
}
