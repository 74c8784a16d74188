/**
 * Adds a line to an error's message, and to its stack. A stack contains the message that the error was made with, and
 * the test runner prints only the stack.
 */
export function addDetail(error: unknown, detail: string): void {
  if (!(error instanceof Error)) return;
  const { message, stack } = error;
  error.message = `${message}\n${detail}`;
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
}
