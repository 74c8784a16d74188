import { useLayoutEffect, useRef } from "preact/hooks";

/** Puts the focus back on a row's element. Some browsers drop it when the row moves. */
export function useKeptFocus(body: { readonly current: HTMLElement | null }): void {
  const focused = useRef<Element | null>(null);
  useLayoutEffect(() => {
    const element = body.current;
    if (element === null) return undefined;
    const onFocusIn = (event: FocusEvent): void => {
      focused.current = event.target as Element;
    };
    const onFocusOut = (event: FocusEvent): void => {
      if (event.relatedTarget !== null) focused.current = null;
    };
    element.addEventListener("focusin", onFocusIn);
    element.addEventListener("focusout", onFocusOut);
    return () => {
      element.removeEventListener("focusin", onFocusIn);
      element.removeEventListener("focusout", onFocusOut);
    };
  }, [body.current]);
  useLayoutEffect(() => {
    const before = focused.current;
    if (before instanceof HTMLElement && before.isConnected && document.activeElement === document.body)
      before.focus({ preventScroll: true });
  });
}
