"""The payment API before two processors that were written apart: ours of the sandbox, and the
package localstripe. ``processors`` starts either as a process of its own and plays the browser,
``shop`` puts a node before it, ``limits`` says what localstripe does not play, and proves it."""
