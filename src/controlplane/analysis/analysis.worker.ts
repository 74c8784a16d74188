// Analyses the configuration in a separate thread, because an analysis of some thousand objects takes seconds. The
// thread keeps the objects, so only changes are sent to it.
import { analyze, type Resource } from "../../analyze/index.ts";
import { messageOf } from "../../base/index.ts";
import { answerTasks } from "../../base/threads/worker/index.ts";
import type { AnalysisAnswer, AnalysisTask, ObjectChange } from "./analysis-messages.ts";
import { findingsOf } from "./validation-messages.ts";

const resources = new Map<string, Resource>();

function answerTo({ changes, options }: AnalysisTask): AnalysisAnswer {
  for (const { id, object } of JSON.parse(changes) as readonly ObjectChange[]) {
    if (object === undefined) resources.delete(id);
    else resources.set(id, { object });
  }
  if (options === undefined) return { kind: "taken" };
  return { kind: "found", findings: findingsOf(analyze([...resources.values()], options)) };
}

answerTasks<AnalysisTask, AnalysisAnswer>({
  answer: (task) => {
    try {
      return answerTo(task);
    } catch (error) {
      return { kind: "fault", message: messageOf(error) };
    }
  },
});
