import { maxContentBytes, maxRecordBytes } from "../wire/tls13/index.ts";
import { sealedBytes } from "./record-cipher.ts";

/** The largest content of one write to the network: that of the largest read, plus a frame header. */
export const maxContentOfWrite = 17 * maxContentBytes;

/** The sizes of memory for sealed records, one for small, medium and largest contents. */
const sealedTiers = [2048, 5 * maxContentBytes, maxContentOfWrite].map(sealedBytes);
/** How many spare pieces of each tier are kept: 0.1, 1.3 and 1.1 MiB. */
const sparesKept: readonly number[] = [64, 16, 4];
const spares: readonly Buffer[][] = sealedTiers.map(() => []);

/** Takes memory for this many bytes of sealed records. */
export function takeSealedMemory(bytes: number): Buffer {
  let tier = 0;
  while (tier < sealedTiers.length - 1 && bytes > (sealedTiers[tier] ?? 0)) tier += 1;
  return spares[tier]?.pop() ?? Buffer.allocUnsafeSlow(sealedTiers[tier] ?? bytes);
}

/** Gives memory back. Nobody may read it any more, not even the kernel. */
export function giveBackSealedMemory(memory: Buffer): void {
  const tier = sealedTiers.indexOf(memory.length);
  const list = spares[tier];
  if (list !== undefined && list.length < (sparesKept[tier] ?? 0)) list.push(memory);
}

const incompleteKept = 16;
const spareIncomplete: Buffer[] = [];

export const incompleteRecords = {
  take: (): Buffer => spareIncomplete.pop() ?? Buffer.allocUnsafeSlow(maxRecordBytes),
  giveBack: (memory: Buffer): void => {
    if (spareIncomplete.length < incompleteKept) spareIncomplete.push(memory);
  },
};
