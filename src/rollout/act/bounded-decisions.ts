import { truncated } from "../../base/index.ts";
import { maxDecisions, type DecisionRecord } from "../../api/serin/index.ts";

export const maxDecisionBytes = 512 * 1024;

const maxTextCharacters = 1000;
const maxEvidence = 16;

export function clipped(record: DecisionRecord): DecisionRecord {
  const { evidence } = record;
  return {
    ...record,
    message: clippedText(record.message),
    ...(evidence === undefined ? {} : { evidence: evidence.slice(0, maxEvidence).map(clippedText) }),
  };
}

function clippedText(text: string): string {
  return truncated(text, maxTextCharacters);
}

/**
 * The latest decisions: at most {@link maxDecisions}, and at most `maxBytes`. The oldest decisions of ended runs are
 * dropped first.
 */
export function boundedDecisions(
  records: readonly DecisionRecord[],
  maxBytes: number = maxDecisionBytes,
): readonly DecisionRecord[] {
  const kept = [...records];
  let bytes = kept.reduce((sum, record) => sum + sizeOf(record), 0);
  const lastRun = kept.at(-1)?.run ?? 0;
  while (kept.length > maxDecisions || bytes > maxBytes) {
    const index = Math.max(
      0,
      kept.findIndex(({ run }) => run < lastRun),
    );
    const [gone] = kept.splice(index, 1);
    if (gone === undefined) break;
    bytes -= sizeOf(gone);
  }
  return kept;
}

export function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
