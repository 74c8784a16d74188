import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ApplyAnswer, Problem } from "../../../api/dashboard/index.ts";
import { Dialog, Loading, Notice, ProblemNotice, toast, useIsOpen } from "../components/index.ts";
import { problemOf, request } from "../requests.ts";
import { DiffView } from "./diff-view.tsx";

export interface ReviewProps {
  readonly before: string;
  readonly after: string;
  readonly resourceVersion: string;
  readonly errors: number;
  readonly onClose: () => void;
  readonly onApplied: (answer: ApplyAnswer) => void;
}

/** Shows a change, and what the API server says to a dry run of it, before the user can apply it. */
export function ReviewDialog(props: ReviewProps): JSX.Element {
  const { before, after, resourceVersion, errors, onClose } = props;
  const { dryRun, problem, applying, apply } = useReview(props);
  return (
    <Dialog
      title={resourceVersion === "" ? "Create this?" : "Apply this change?"}
      size="wide"
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="button"
            class="button"
            data-kind="primary"
            disabled={dryRun === undefined || applying || problem !== undefined}
            onClick={apply}
          >
            {applying ? "Applying…" : "Apply"}
          </button>
        </>
      }
    >
      <DiffView before={before} after={after} label="The change that will be made" />
      {errors === 0 ? undefined : (
        <Notice tone="warn">
          The analyzer reports {errors === 1 ? "an error" : `${errors} errors`} in it: traffic may fail.
        </Notice>
      )}
      {problem !== undefined ? (
        <ProblemNotice problem={problem} />
      ) : dryRun === undefined ? (
        <Loading lines={2} label="The API server checks the change" />
      ) : (
        <Notice tone="good">The API server would accept the change: {dryRun.applied.join(", ")}.</Notice>
      )}
      {(dryRun?.warnings ?? []).map((warning) => (
        <Notice key={warning} tone="warn">
          {warning}
        </Notice>
      ))}
    </Dialog>
  );
}

/** Sends a dry run at once, and applies the change when the user confirms it. */
function useReview({ after, resourceVersion, onClose, onApplied }: ReviewProps): {
  readonly dryRun: ApplyAnswer | undefined;
  readonly problem: Problem | undefined;
  readonly applying: boolean;
  readonly apply: () => void;
} {
  const [dryRun, setDryRun] = useState<ApplyAnswer | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const [applying, setApplying] = useState(false);
  const isOpen = useIsOpen();
  useEffect(() => {
    const abort = new AbortController();
    const run = async (): Promise<void> => {
      try {
        setDryRun(await request("POST /api/apply", { yaml: after, dryRun: true, resourceVersion }, abort.signal));
      } catch (error) {
        if (!abort.signal.aborted) setProblem(problemOf(error));
      }
    };
    void run();
    return () => abort.abort();
  }, []);
  const apply = async (): Promise<void> => {
    setApplying(true);
    try {
      const answer = await request("POST /api/apply", { yaml: after, dryRun: false, resourceVersion });
      toast("good", `Applied: ${answer.applied.join(", ")}`);
      onApplied(answer);
      if (isOpen.current) onClose();
    } catch (error) {
      const failed = problemOf(error);
      if (!isOpen.current) toast("bad", `Not applied: ${failed.message}`);
      setProblem(failed);
      setApplying(false);
    }
  };
  return { dryRun, problem, applying, apply: () => void apply() };
}
