/**
 * Says how many samples of the canary are needed. The samples of an open batch have been seen, but are not judged yet.
 * If they would suffice, the text says so, because otherwise it would ask for fewer samples than it reports.
 */
export function tooFew(
  things: "requests" | "responses",
  { judged, seen, needed }: { readonly judged: number; readonly seen: number; readonly needed: number },
): string {
  const need = `${needed} ${things} of the canary are needed`;
  return seen < needed ? need : `${need}, and ${judged} of these are judged so far`;
}
