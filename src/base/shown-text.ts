/**
 * The text with its control characters written out, as `\x1b`. A terminal obeys them, so a name with some could move the
 * cursor over other lines, or write into the clipboard of whoever lists it.
 */
export function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, writtenOut);
}

/** Line ends, tabs, and what our own command line sends: colours, and steps of the cursor in progress lines. */
const ownControls = new RegExp(
  String.raw`${String.fromCharCode(0x1b)}\[(?:[\d;]*m|\d*[AJK]|\?25[lh])|[\n\r\t]|\p{Cc}`,
  "gu",
);

/** What a terminal may get: the text with all control characters written out that our own command line does not send. */
export function terminalText(text: string): string {
  return text.replaceAll(ownControls, (found) =>
    found.length > 1 || found === "\n" || found === "\r" || found === "\t" ? found : writtenOut(found),
  );
}

function writtenOut(control: string): string {
  return `\\x${(control.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`;
}
