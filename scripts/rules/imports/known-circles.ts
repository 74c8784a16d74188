/** Folders in which subfolders still import each other, with the reason. The list only becomes shorter. */
export const knownCircles: Readonly<Record<string, string>> = {};
