/**
 * Analysis of the cluster's configuration, whose findings are written into the status of the objects. Loaded when it is
 * on.
 */
export { runAnalysisController } from "./analysis-controller.ts";
