/**
 * Adds a line to an error's message and stack. The test runner prints only the stack, which keeps the message that the
 * error was created with.
 */
export function addDetail(error: unknown, detail: string): void {
  if (!(error instanceof Error)) return;
  const { message, stack } = error;
  error.message = `${message}\n${detail}`;
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
}
