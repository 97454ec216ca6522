import { en } from "./en";

/** Every word the page says; another language is one more object of this shape. */
export type Text = typeof en;

export const text: Text = en;
