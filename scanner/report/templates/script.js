(function(){"use strict";
var root=document.documentElement,table=document.getElementById("t");
if(!table)return;
root.classList.add("js");
var body=table.tBodies[0],said=document.getElementById("said"),home=document.getElementById("sections"),more=document.getElementById("more");
var STEP=300,limit=STEP;
function by(id){return document.getElementById(id);}
function list(found){return Array.prototype.slice.call(found);}
/* Rows and sections as markup, each in the order of the report; our own, escaped where it was written. */
var rows=list(body.rows).map(function(r){return r.outerHTML;}),live={},parts=[];
list(home.children).forEach(function(e){live[+e.id.slice(1)]=e;});
list(document.querySelectorAll("noscript.rows")).forEach(function(n){n.textContent.split("\n").forEach(function(t){if(t.indexOf("<tr ")===0)rows.push(t);});n.remove();});
list(document.querySelectorAll("noscript.parts")).forEach(function(n){parts.push(n.textContent);n.remove();});
var eager=Object.keys(live).length,pieces=null;
function piece(number){if(!pieces)pieces=parts.join("").split('<section class="d"').slice(1);return '<section class="d"'+pieces[number-eager-1];}
if(rows.length>eager)by("lazy").hidden=false;
function build(number){if(live[number]||number<=eager||number>rows.length)return live[number];
var box=document.createElement("template");box.innerHTML=piece(number);
var made=box.content.querySelector(".d"),after=list(home.children).filter(function(e){return +e.id.slice(1)>number;})[0]||null;
home.insertBefore(made,after);live[number]=made;return made;}
var facts=new Array(rows.length);
/* Read from the markup itself: ten thousand rows made into elements only to be read take 150 MB. */
var marks={"&lt;":"<","&gt;":">","&#34;":'"',"&#39;":"'","&amp;":"&"};
function bare(t){return t.replace(/<[^>]*>/g,"").replace(/&(?:lt|gt|#34|#39|amp);/g,function(e){return marks[e];}).trim();}
function cells(i){return rows[i].slice(rows[i].indexOf(">")+1).split(/<\/t[hd]>/).slice(0,-1).map(bare);}
function datum(i,name){var m=rows[i].slice(0,rows[i].indexOf(">")).match(new RegExp(" data-"+name+'="([^"]*)"'));return bare(m[1]);}
function plain(i){if(!facts[i])facts[i]=cells(i).join(" ").toLowerCase();return facts[i];}
var fields={q:by("q"),a:by("fa"),l:by("fl"),m:by("fm")},order=rows.map(function(_,i){return i;}),matched=order;
function paint(all){var shown=all?matched:matched.slice(0,limit);
body.innerHTML=shown.map(function(i){return rows[i];}).join("");
more.parentNode.hidden=shown.length===matched.length;}
function filter(){
var words=fields.q.value.toLowerCase().split(/\s+/).filter(Boolean),a=fields.a.value,l=fields.l.value,m=fields.m.value,keep={};
var tags=(a?[' data-a="'+a+'"']:[]).concat(l?[' data-l="'+l+'"']:[]);
limit=STEP;
matched=order.filter(function(i){
if(!tags.every(function(x){return rows[i].lastIndexOf(x,80)>=0;}))return false;
if(m&&datum(i,"m")!==m)return false;
return words.every(function(w){return plain(i).indexOf(w)>=0;});});
matched.forEach(function(i){keep[i+1]=true;});
Object.keys(live).forEach(function(n){live[n].hidden=!keep[n];});
paint(false);
said.textContent=matched.length+" of "+rows.length+" devices match";}
var timer=0;
fields.q.addEventListener("input",function(){clearTimeout(timer);timer=setTimeout(filter,150);});
["a","l","m"].forEach(function(k){fields[k].addEventListener("change",filter);});
by("reset").addEventListener("click",function(){for(var k in fields)fields[k].value="";filter();fields.q.focus();});
more.addEventListener("click",function(){limit+=STEP;paint(false);});
var actions=["none","note","investigate","plan","do-not-buy","remove"],levels=["unknown","possible","likely","confirmed"];
function address(s){return s.replace(/\d+/g,function(d){return ("000000000"+d).slice(-9);});}
function key(i,column,kind){
return kind==="action"?actions.indexOf(datum(i,"a")):kind==="level"?levels.indexOf(datum(i,"l")):kind==="address"?address(cells(i)[column]):cells(i)[column].toLowerCase();}
var heads=list(table.tHead.rows[0].cells);
heads.forEach(function(head,column){
var button=document.createElement("button"),kind=head.dataset.k;
button.type="button";button.textContent=head.textContent;head.textContent="";head.appendChild(button);
button.addEventListener("click",function(){
var up=head.getAttribute("aria-sort")!=="ascending",keyed=order.map(function(i){return [key(i,column,kind),i];});
keyed.sort(function(x,y){var c=x[0]<y[0]?-1:x[0]>y[0]?1:x[1]-y[1];return up?c:-c;});
order=keyed.map(function(k){return k[1];});
heads.forEach(function(h){h.removeAttribute("aria-sort");});
head.setAttribute("aria-sort",up?"ascending":"descending");
filter();said.textContent+=", sorted by "+button.textContent+(up?", ascending":", descending");});});
function lead(){var m=/^#d(\d+)$/.exec(location.hash),e=m&&build(+m[1]);
if(e){e.hidden=false;e.tabIndex=-1;e.scrollIntoView();e.focus({preventScroll:true});}}
addEventListener("hashchange",lead);
addEventListener("beforeprint",function(){
if(rows.length>eager){
Object.keys(live).forEach(function(n){if(n>eager){live[n].remove();delete live[n];}});
var text="",n;for(n=eager+1;n<=rows.length;n++)text+=piece(n);
home.insertAdjacentHTML("beforeend",text);
list(home.children).forEach(function(e){live[+e.id.slice(1)]=e;});}
matched=order;paint(true);
Object.keys(live).forEach(function(n){live[n].hidden=false;});});
addEventListener("afterprint",filter);
lead();
})();
